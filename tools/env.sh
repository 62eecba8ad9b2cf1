# Source this in bash to use the environment that `make setup` built, with this workspace on top.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${FACE_PERCEPTION_VENV:-$root/.venv}"
export PATH="$venv/bin:$PATH"
export VIRTUAL_ENV="$venv"
# ONNX Runtime must send nothing and store nothing. The package sets it as well; this is for others.
export ORT_DISABLE_TELEMETRY=1
if [ -e "$venv/ros-from-wheels" ]; then
  export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" ROS_DISTRO="$(cat "$venv/ros-from-wheels")"
  export ROS_VERSION=2 ROS_PYTHON_VERSION=3
fi
if [ -e "$root/install/local_setup.bash" ]; then
  . "$root/install/local_setup.bash"
fi
# Put the source tree before its installed links, so that a new file needs no colcon build.
if [ -e "$venv/ros-from-wheels" ] || [ ! -x "$venv/bin/python3" ]; then
  export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
else
  # A sourced ROS 2 is on PYTHONPATH, before the packages of the virtual environment. Put those first.
  site="$("$venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
  export PYTHONPATH="$root:$site${PYTHONPATH:+:$PYTHONPATH}"
fi
