//! Asks a program of the cluster over HTTP, for commands that do nothing else meanwhile.

use std::sync::Arc;
use std::time::Duration;

use daemon::clock::{Clock, System};
use remote::{Client, ClientSettings, Deadline, Endpoint, RemoteError, RemoteErrorKind};
use serde_json::Value;

use crate::invocation::Failure;

/// A client of whomever it is pointed at.
pub(crate) struct Http {
    runtime: tokio::runtime::Runtime,
    clock: Arc<dyn Clock>,
    wait: Duration,
}

impl Http {
    /// One that waits so long for each answer.
    pub(crate) fn new(wait: Duration) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("runtime: {error}")))?;
        Ok(Self { runtime, clock: Arc::new(System::new()), wait })
    }

    /// What a POST of a form answers as JSON; null where there is no such thing.
    pub(crate) fn post(
        &self,
        endpoint: &Endpoint,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Value, RemoteError> {
        let (client, deadline) = self.client(endpoint);
        let form = remote::encode_pairs(form.iter().copied());
        self.runtime.block_on(client.post_json(path, form, &deadline))
    }

    fn client(&self, endpoint: &Endpoint) -> (Client, Deadline) {
        let clock = Arc::clone(&self.clock);
        let deadline = Deadline::after(&clock, self.wait);
        (Client::new(endpoint.clone(), ClientSettings::default(), clock), deadline)
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        // The api tells in JSON what is wrong with a request, of which people need the sentence.
        if let RemoteErrorKind::Status { line, .. } = &error.kind
            && let Ok(Value::Object(told)) = serde_json::from_str(line)
            && let Some(Value::String(message)) = told.get("message")
        {
            return Self::new(format!("{}: {message}", error.endpoint));
        }
        Self::new(error.to_string())
    }
}
