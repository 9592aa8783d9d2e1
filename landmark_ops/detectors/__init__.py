"""Models that find and place keypoints: specs (data), their files, sessions, decoders and pipelines."""
