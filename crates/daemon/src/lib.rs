//! What every daemon needs: settings, logs, metrics, admin endpoint, signals, clock.
