//! YAML: finding marked values and replacing their bytes.
