"""Training-free scores: what an untrained network tells of how well it will learn, one file per kind."""

from .labelled import LabelledImages, dataset_images, random_images
from .scores import PROXIES, proxy_scores

__all__ = ["PROXIES", "LabelledImages", "dataset_images", "proxy_scores", "random_images"]
