#!/usr/bin/env bash
# Prints the folder that has `prometheus` and `promtool`, of Prometheus 3: the one that
# AIMUX_PROMETHEUS names, else the one of a `prometheus` on the PATH if it is of version 3, else
# one that they are built in, once for each version below.
set -euo pipefail

# The one that the Collector's receiver is made of: what both are built from is built once.
version=v0.312.0

if [ -n "${AIMUX_PROMETHEUS:-}" ]; then
  printf '%s\n' "$AIMUX_PROMETHEUS"
  exit
fi
if there="$(command -v prometheus)" && command -v promtool >/dev/null &&
  "$there" --version 2>&1 | grep -q '^prometheus, version 3'; then
  dirname "$there"
  exit
fi

cache="${XDG_CACHE_HOME:-$HOME/.cache}/aimux-otel"
built="$cache/prometheus-$version"

if [ ! -x "$built/promtool" ]; then
  mkdir -p "$cache"
  # Whoever comes second waits, and finds it built.
  exec 9>"$cache/prometheus.lock"
  flock 9
  if [ ! -x "$built/promtool" ]; then
    work="$(mktemp -d "$cache/build.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    {
      export CGO_ENABLED=0 GOFLAGS=
      cd "$work"
      go mod init prometheus
      go mod edit -require="github.com/prometheus/prometheus@$version"
      # Without the discoveries that are not asked for, which are most of it, and without the
      # pages, which its module does not have.
      go build -mod=mod -tags=netgo,remove_all_sd -trimpath \
        -ldflags="-s -w -X github.com/prometheus/common/version.Version=3.${version:4:2}.${version##*.}" \
        -o "$work/" github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool
    } >&2
    # Whole or not at all.
    mkdir -p "$built"
    mv "$work/prometheus" "$work/promtool" "$built/"
  fi
fi
printf '%s\n' "$built"
