#!/usr/bin/env bash
# Prints the path of an OpenTelemetry Collector for the outside checks: the one that AIMUX_OTELCOL
# names, else one that is built from `manifest.yaml`, once for each version of that file.
set -euo pipefail

if [ -n "${AIMUX_OTELCOL:-}" ]; then
  printf '%s\n' "$AIMUX_OTELCOL"
  exit
fi

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
manifest="$here/manifest.yaml"
version="$(sed -n 's/^  version: *//p' "$manifest")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/aimux-otel"
built="$cache/otelcol-$(sha256sum "$manifest" | cut -c1-16)"
collector="$built/otelcol"

if [ ! -x "$collector" ]; then
  mkdir -p "$cache"
  # Whoever comes second waits, and finds it built.
  exec 9>"$cache/otelcol.lock"
  flock 9
  if [ ! -x "$collector" ]; then
    work="$(mktemp -d "$cache/build.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    {
      # Neither debug symbols nor C: half the time to link, and nothing else is needed.
      export CGO_ENABLED=0 GOFLAGS=
      GOBIN="$work" go install "go.opentelemetry.io/collector/cmd/builder@v$version"
      (cd "$work" && ./builder --config="$manifest" --skip-get-modules --skip-compilation)
      # No `go mod tidy`, as the builder would have it: that fetches also what only the tests of
      # all these modules need, which is most of it.
      cd "$work/source"
      go mod init otelcol
      go mod edit -require="go.opentelemetry.io/collector/otelcol@v$version" \
        $(sed -n 's/^  - gomod: *\([^ ]*\) \(v.*\)/-require=\1@\2/p' "$manifest")
      # A scrape of addresses needs none of the discoveries of Prometheus, which are most of it.
      go build -mod=mod -tags=remove_all_sd -trimpath -ldflags='-s -w' -o "$work/otelcol" .
    } >&2
    # Whole or not at all.
    mkdir -p "$built"
    mv "$work/otelcol" "$collector"
  fi
fi
printf '%s\n' "$collector"
