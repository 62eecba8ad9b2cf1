#!/bin/bash
# Runs a command in the environment of ROS and of the nodes; fetches the models first if they are missing.
set -eo pipefail
source "/opt/ros/$ROS_DISTRO/setup.bash"
source /ws/install/setup.bash
source /opt/venv/bin/activate
# Models, and gaze calibrations.
for folder in "$FACE_PERCEPTION_MODELS" "$HOME/.local/share/face_perception"; do
  if [ ! -w "$folder" ]; then
    echo "user $(id -u) cannot write to $folder: a volume keeps the owner of the first image that used it." \
      "Give it to this user, as root in a container with the volume: chown -R $(id -u) $folder" >&2
  fi
done
fetch_models() {  # NAME ...; without names: the default ones
  if ! face-perception models verify "$@" >/dev/null 2>&1; then
    face-perception models fetch --quiet "$@" \
      || echo "no models: give the container a network once, or mount them" >&2
  fi
}
fetch_models
if [ "${RENDERER:-}" = head ]; then
  fetch_models three
fi
exec "$@"
