//! Which image of several is the base.
