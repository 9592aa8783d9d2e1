"""One peer, one process: `python benchmarks/peer_loops.py NAME TAR FOLDER` prints what it took as JSON.

Runs in .venv-peers (benchmarks/peers.txt), so it imports nothing of this project. FOLDER holds models as a mirror does,
MediaPipe's original files in <model>/orig. Every loop is the one its documentation shows: one picture at a time.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

#: From a picture (H, W, 3) RGB uint8 to its number of faces, hands or bodies.
Count = Callable[[Any], int]

MOST = 10  # instances that MediaPipe is asked for; it stops at one unless told
UNIT, SIGNED = (0.0, 255.0), (127.5, 127.5)  # mean and standard deviation of MediaPipe's inputs


def main() -> None:
    """Run the named loop over a tar: all pictures once, after the first of them once more, off the clock."""
    name, tar, folder = sys.argv[1:]
    count = LOOPS[name](Path(folder))
    count(next(pictures(tar)))
    wall, cpu = time.perf_counter(), time.process_time()
    found = [count(picture) for picture in pictures(tar)]
    seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({"images": len(found), "instances": sum(found), **seconds}))


def pictures(tar: str) -> Iterator[Any]:
    """The pictures of a tar, decoded one by one."""
    with tarfile.open(tar) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            yield cv2.cvtColor(cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def insightface_style(folder: Path) -> Count:
    """As insightface's FaceAnalysis.get: a letterbox of 640, blobs, and the points of one face after the other.

    Its own weights may not be used commercially, so YuNet and the 68-point net stand in for them.
    """
    import onnxruntime
    from bare_faces import CROP, HEADS, LONGER, MEAN, boxes_of

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    find, locate = (
        onnxruntime.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
        for file in ("yunet/yunet_n_dynamic.onnx", "face68-faceapi/face_landmark_68.onnx")
    )

    def count(picture: Any) -> int:
        height, width = picture.shape[:2]
        scale = LONGER / max(height, width)
        canvas = np.zeros((LONGER, LONGER, 3), np.uint8)
        small = cv2.resize(picture, (round(width * scale), round(height * scale)))
        canvas[: small.shape[0], : small.shape[1]] = small
        outputs = find.run(HEADS, {"input": cv2.dnn.blobFromImage(canvas, swapRB=True)})
        faces = boxes_of([output[0] for output in outputs], LONGER, LONGER) / scale
        for x, y, w, h in faces:
            side = max(w, h)
            to_crop = np.array([[CROP / side, 0, 0], [0, CROP / side, 0]])
            to_crop[:, 2] = CROP / 2 - CROP / side * np.array([x + w / 2, y + h / 2])
            crop = cv2.warpAffine(picture, to_crop, (CROP, CROP))
            locate.run(None, {"image": cv2.dnn.blobFromImage(crop, 1 / 255, mean=MEAN.tolist())})
        return len(faces)

    return count


def mediapipe_faces(folder: Path) -> Count:
    """FaceDetector with the short-range net."""
    return _task("FaceDetector", "detections", _with_metadata(folder, "blazeface-short", SIGNED))


def mediapipe_mesh(folder: Path) -> Count:
    """FaceLandmarker: short-range finder, 468 points."""
    finder, points = _with_metadata(folder, "blazeface-short", SIGNED), _with_metadata(folder, "facemesh-468", UNIT)
    files = {"face_detector.tflite": finder, "face_landmarks_detector.tflite": points}
    return _task("FaceLandmarker", "face_landmarks", _bundle(files), num_faces=MOST)


def mediapipe_hands(folder: Path) -> Count:
    """HandLandmarker: palms, 21 points, lite."""
    finder, points = _with_metadata(folder, "palm-detection", UNIT), _with_metadata(folder, "hand-landmark-21", UNIT)
    files = {"hand_detector.tflite": finder, "hand_landmarks_detector.tflite": points}
    return _task("HandLandmarker", "hand_landmarks", _bundle(files), num_hands=MOST)


def mediapipe_pose(folder: Path) -> Count:
    """PoseLandmarker: 33 points, lite."""
    finder, points = _with_metadata(folder, "pose-detection", SIGNED), _with_metadata(folder, "blazepose-33-lite", UNIT)
    files = {"pose_detector.tflite": finder, "pose_landmarks_detector.tflite": points}
    return _task("PoseLandmarker", "pose_landmarks", _bundle(files), num_poses=MOST)


def rtmlib_body(folder: Path) -> Count:
    """Body in its light form: YOLOX-tiny and RTMPose-s, which it downloads; no file of `folder` fits its decoders."""
    from rtmlib import Body

    body = Body(mode="lightweight", backend="onnxruntime", device="cpu")
    return lambda picture: len(body(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[0])


def _task(name: str, field: str, model: bytes, **options: int) -> Count:
    """A MediaPipe task in image mode. `field`: of its result, what is counted."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    asked = getattr(vision, f"{name}Options")(base_options=BaseOptions(model_asset_buffer=model), **options)
    task = getattr(vision, name).create_from_options(asked)
    rgb = mediapipe.ImageFormat.SRGB
    return lambda picture: len(getattr(task.detect(mediapipe.Image(image_format=rgb, data=picture)), field))


def _with_metadata(folder: Path, model: str, scaling: tuple[float, float]) -> bytes:
    """The one original file of a model, told how its input is scaled, without which tasks refuse it."""
    # The wheel holds the metadata writer, but not the compiled helper that it asks for a version number.
    helper = types.ModuleType("_pywrap_metadata_version")
    helper.GetMinimumMetadataParserVersion = lambda buffer: "1.0.0"  # type: ignore[attr-defined]
    package = types.ModuleType("mediapipe.tasks.cc.metadata.python")
    package._pywrap_metadata_version = helper  # type: ignore[attr-defined]
    sys.modules.setdefault("mediapipe.tasks.cc.metadata.python", package)
    from mediapipe.tasks.python.metadata.metadata_writers.metadata_writer import MetadataWriter

    (file,) = (folder / model / "orig").glob("*.tflite")
    mean, deviation = scaling
    writer = MetadataWriter.create(bytearray(file.read_bytes()))
    writer.add_image_input([mean], [deviation])
    return bytes(writer.populate()[0])


def _bundle(files: dict[str, bytes]) -> bytes:
    """A .task file: an uncompressed zip of the task's nets."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


LOOPS: dict[str, Callable[[Path], Count]] = {
    "insightface-style": insightface_style,
    "mediapipe-faces": mediapipe_faces,
    "mediapipe-mesh": mediapipe_mesh,
    "mediapipe-hands": mediapipe_hands,
    "mediapipe-pose": mediapipe_pose,
    "rtmlib-body": rtmlib_body,
}

if __name__ == "__main__":
    main()
