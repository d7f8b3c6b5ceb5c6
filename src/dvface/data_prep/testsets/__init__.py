"""Test sets of the field's protocols, as folders of videos."""
