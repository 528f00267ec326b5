"""Training detectors with Ultralytics, and reading what that writes."""
