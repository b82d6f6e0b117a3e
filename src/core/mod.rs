//! The pure core: no runtime, no OpenTelemetry, no tracing, no clock. Tested on plain data.
