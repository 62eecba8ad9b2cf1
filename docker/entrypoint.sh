#!/bin/bash
# Runs a command in the environment of ROS and of the nodes; fetches the models first if they are missing.
set -eo pipefail
source "/opt/ros/$ROS_DISTRO/setup.bash"
source /ws/install/setup.bash
source /opt/venv/bin/activate
if ! face-perception models verify >/dev/null 2>&1; then
  face-perception models fetch --quiet || echo "no models: give the container a network once, or mount them" >&2
fi
exec "$@"
