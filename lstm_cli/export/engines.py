"""The programs that run a model in a folder: names, and the lines of Python that call them."""

from __future__ import annotations

from dataclasses import dataclass

from lstm_cli.export.result import Format


@dataclass(frozen=True)
class Engine:
    """What runs a model.

    Attributes:
        program: Its name.
        name: What the README says of it.
        model: Name of the file or folder of the model.
        what: What that is, for the README.
        imports: Lines of the example that import it.
        opening: Lines that open the model.
        call: Computes the probabilities; `INPUTS` stands for arrays by name.
        image_call: As `call`, for images; empty if it does not differ.
        has_lengths: Whether the model has the input `lengths`.
        is_single: Whether it reads one input at a time.
    """

    program: str
    name: str
    model: str
    what: str
    imports: str
    opening: str
    call: str
    image_call: str = ""
    has_lengths: bool = False
    is_single: bool = False


_LITERT_OPENING = '''RUN = Interpreter(str(FOLDER / "model.tflite")).get_signature_runner()


def run(inputs):
    """Predict one text at a time, without padding."""
    found = []
    for rows in zip(*inputs.values()):
        rows = [row[: max(1, np.count_nonzero(row))][None] for row in rows]
        found.append(RUN(**dict(zip(inputs, rows)))["probabilities"])
    return np.concatenate(found)'''

ENGINES: dict[Format, Engine] = {
    "onnx": Engine(
        "onnxruntime",
        "onnxruntime (or another engine of ONNX)",
        "model.onnx",
        "the network",
        "import onnxruntime",
        'SESSION = onnxruntime.InferenceSession(str(FOLDER / "model.onnx"))',
        "SESSION.run(None, INPUTS)[0]",
        has_lengths=True,
    ),
    "keras": Engine(
        "Keras",
        "Keras 3 with any backend",
        "model.keras",
        "the network, of Keras' own layers",
        "import keras",
        'MODEL = keras.saving.load_model(FOLDER / "model.keras")',
        "MODEL.predict_on_batch(INPUTS)",
    ),
    "savedmodel": Engine(
        "TensorFlow",
        "TensorFlow, or TensorFlow Serving",
        "saved_model",
        "the network, with the signature `serving_default`",
        "import tensorflow as tf",
        'RUN = tf.saved_model.load(str(FOLDER / "saved_model")).signatures["serving_default"]',
        'RUN(**{key: tf.constant(INPUTS[key]) for key in INPUTS})["probabilities"].numpy()',
        'RUN(images=tf.constant(images))["probabilities"].numpy()',
    ),
    "litert": Engine(
        "LiteRT",
        "LiteRT (package `ai-edge-litert`), without the Flex delegate",
        "model.tflite",
        "the network, with the signature `serving_default`",
        "from ai_edge_litert.interpreter import Interpreter",
        _LITERT_OPENING,
        "run(INPUTS)",
        'np.concatenate([RUN(images=image[None])["probabilities"] for image in images])',
        is_single=True,
    ),
}
