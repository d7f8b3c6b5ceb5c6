"""What training minimises: named, weighted terms on restored and clean video."""
