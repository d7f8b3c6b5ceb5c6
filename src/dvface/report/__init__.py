"""What people read: progress, tables, pages, pictures, curves."""
