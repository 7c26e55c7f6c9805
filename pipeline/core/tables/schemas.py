"""Schemas of the tables that stages exchange, one per Parquet file.

The schemas are separate from the code that writes the tables, so that a stage that reads a table
does not depend on that code.
"""

import pyarrow as pa

VIDEOS = pa.schema(
    {
        "video": pa.string(),  # stem of the annotation file
        "split": pa.string(),  # train or val
        "frames": pa.int32(),  # frames on disk, labeled or not
        "height": pa.int32(),
        "width": pa.int32(),
        "form": pa.string(),  # posetrack17, posetrack18 or posetrack21
        "annotation": pa.string(),  # path relative to annotations/
    }
)
"""data/index/videos.parquet, sorted by split and video."""

FRAMES = pa.schema(
    {
        "video": pa.string(),
        "split": pa.string(),
        "frame": pa.int32(),  # position in the video, 0 .. frames - 1
        "file": pa.string(),  # path relative to data.root
        "sha256": pa.string(),
        "image_id": pa.int64(),  # -1 for a frame that the annotations do not name
        "labelled": pa.bool_(),
        "entry": pa.int32(),  # position in the annotation file's list of images, or -1
        "ignore": pa.string(),  # JSON [[[x, ...], [y, ...]], ...], one pair per polygon, or ""
        "tag": pa.string(),  # degradation of a synthetic frame, otherwise ""
    }
)
"""data/index/frames.parquet, sorted by split, video and frame."""

PEOPLE = pa.schema(
    {
        "video": pa.string(),
        "split": pa.string(),
        "frame": pa.int32(),
        "person": pa.int32(),  # row within the frame, in the annotation file's order
        "annotation_id": pa.int64(),
        "track_id": pa.int32(),
        "box_x": pa.float64(),  # NaN for a person without box and joints
        "box_y": pa.float64(),
        "box_w": pa.float64(),
        "box_h": pa.float64(),
        "head_x": pa.float64(),  # NaN for a person without head box
        "head_y": pa.float64(),
        "head_w": pa.float64(),
        "head_h": pa.float64(),
        "keypoints": pa.list_(pa.float64()),  # 17 x (x, y, visibility), skeleton.SLOTS
    }
)
"""data/index/people.parquet, sorted by split, video, frame and person."""

BOXES = pa.schema(
    {
        "video": pa.string(),
        "frame": pa.int32(),
        "row": pa.int32(),  # row within the frame, highest score first
        "x": pa.float64(),
        "y": pa.float64(),
        "w": pa.float64(),
        "h": pa.float64(),
        "score": pa.float64(),  # 1 for ground truth
        "person": pa.int32(),  # row of the person within the frame, -1 for detections
        "source": pa.string(),  # detect.kind
    }
)
"""data/boxes/<split>.parquet, sorted by video, frame and row."""

CLIPS = pa.schema(
    {
        "video": pa.string(),
        "clip": pa.int32(),  # row in the video's arrays
        "variant": pa.int32(),
        "frame": pa.int32(),  # the key frame
        "frames": pa.list_(pa.int32()),  # the T frames, clamped to the video
        "person": pa.int32(),  # row of the person within the key frame, -1 for detections
        "track_id": pa.int32(),  # -1 for detections
        "score": pa.float64(),  # score of the box
        "box_x": pa.float64(),
        "box_y": pa.float64(),
        "box_w": pa.float64(),
        "box_h": pa.float64(),
        "to_crop": pa.list_(pa.float64()),  # 2 x 3, image to crop pixels, including the flip
        "flipped": pa.bool_(),
        "keypoints": pa.list_(pa.float64()),  # 15 xy in crop pixels, sides swapped if flipped
        "visible": pa.list_(pa.int8()),  # 15: 0 no label or outside, 1 occluded, 2 visible
    }
)
"""data/clips/<input>/<split>.parquet, sorted by video, variant and clip."""
