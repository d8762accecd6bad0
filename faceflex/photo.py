import numpy as np
from PIL import Image
def load_rgb(p):
    return np.ascontiguousarray(np.asarray(Image.open(p).convert("RGB")))
