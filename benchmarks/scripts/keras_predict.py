"""The Keras script: load a saved model and classify one text.

Usage: keras_predict.py MODEL.keras TEXT
"""

import sys

import keras
import tensorflow as tf

model = keras.models.load_model(sys.argv[1])
print(float(model.predict(tf.constant([[sys.argv[2]]]), verbose=0)[0, 0]))
