//! Fabric messages and services as generated code, with transaction id and header helpers.
