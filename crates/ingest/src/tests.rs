//! What listeners must take, refuse and survive.
