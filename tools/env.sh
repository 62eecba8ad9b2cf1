# Sourced by bash: the environment that `make setup` built, with this workspace on top.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${FACE_PERCEPTION_VENV:-$root/.venv}"
export PATH="$venv/bin:$PATH"
export VIRTUAL_ENV="$venv"
if [ -e "$venv/ros-from-wheels" ]; then
  export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" ROS_DISTRO="$(cat "$venv/ros-from-wheels")"
  export ROS_VERSION=2 ROS_PYTHON_VERSION=3
fi
if [ -e "$root/install/local_setup.bash" ]; then
  set +u
  . "$root/install/local_setup.bash"
fi
# A virtual environment keeps its own packages behind those of a sourced ROS 2; ours must win.
if [ ! -e "$venv/ros-from-wheels" ] && [ -x "$venv/bin/python3" ]; then
  site="$("$venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
  export PYTHONPATH="$root/install/face_perception/$("$venv/bin/python3" -c 'import sys; print(f"lib/python3.{sys.version_info.minor}/site-packages")'):$site${PYTHONPATH:+:$PYTHONPATH}"
fi
