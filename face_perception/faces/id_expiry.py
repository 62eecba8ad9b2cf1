"""Decides for how long memories of a face may be kept under its id."""

# If a face is not seen for this time, seconds, its id is never given back. A later face with the
# same id comes from a tracker that was restarted, which counts from 1 again.
ID_EXPIRES_AFTER = 2.0


def id_expired(last_seen: float, stamp: float) -> bool:
    """Returns whether the id of a face, last seen at ``last_seen``, has expired at ``stamp``.

    Both are stamps of images, seconds. It has also expired if the stamps went back.
    """
    return not 0 <= stamp - last_seen <= ID_EXPIRES_AFTER
