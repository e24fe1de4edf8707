//! Go's `text/template` with Sprig's text functions, as Flux renders commit messages.
