"""COCO mAP of anything that runs."""
