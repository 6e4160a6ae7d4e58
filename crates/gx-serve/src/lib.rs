//! What every long-running role needs: settings, telemetry, bind, health, drain, problem+json.
