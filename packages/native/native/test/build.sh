#!/bin/sh
# Builds the kernel tests with the address and undefined-behaviour sanitizers: build.sh <output>
set -eu
cd "$(dirname "$0")"
exec ${CC:-cc} -std=gnu11 -O1 -g -Wall -Wextra -Wno-psabi -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
  -fno-omit-frame-pointer -I../kernels ../kernels/*.c ./*.c -o "$1" -lpthread -lm
