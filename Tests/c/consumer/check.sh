#!/bin/bash
# check.sh BUILD_DIR: installs, moves the installation, and builds a project against it by CMake and by pkg-config, in
# an empty environment.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$1" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
in_empty_environment() { env -i PATH=/usr/local/bin:/usr/bin:/bin "$@"; }

in_empty_environment cmake -S "$here" -B "$work/build" -DCMAKE_C_COMPILER=gcc -DCMAKE_PREFIX_PATH="$work/moved" >/dev/null
in_empty_environment cmake --build "$work/build" >/dev/null
with_cmake=$(in_empty_environment "$work/build/consumer")

pc=$(dirname "$(find "$work/moved" -name edgeopt.pc)")
flags=$(in_empty_environment PKG_CONFIG_PATH="$pc" pkg-config --cflags --libs edgeopt)
lib=$(in_empty_environment PKG_CONFIG_PATH="$pc" pkg-config --variable=libdir edgeopt)
# shellcheck disable=SC2086
in_empty_environment gcc -Wall -Werror "$here/consumer.c" $flags -Wl,-rpath,"$lib" -o "$work/consumer"
with_pkg_config=$(in_empty_environment "$work/consumer")

version=$(in_empty_environment PKG_CONFIG_PATH="$pc" pkg-config --modversion edgeopt)
[[ $with_cmake == "$version" && $with_pkg_config == "$version" ]]
[[ ! -e $work/moved/bin/edgeopt || $(in_empty_environment "$work/moved/bin/edgeopt" --version) == "$version" ]]
echo "version $version by CMake and by pkg-config"
