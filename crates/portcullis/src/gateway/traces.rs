//! Who is told of requests and turns as spans of distributed traces.

#[cfg(feature = "otlp")]
mod otlp;

#[cfg(feature = "otlp")]
pub(super) use otlp::{Otlp, open};
#[cfg(not(feature = "otlp"))]
pub(super) use without::{Otlp, open};

#[cfg(not(feature = "otlp"))]
mod without {
    use portcullis_agent::{EndedTurn, TurnCounter};
    use portcullis_http::{EndedRequest, Tracer};

    use crate::config::Traces;

    /// Nobody: this program was built without.
    #[derive(Clone, Debug)]
    pub(crate) enum Otlp {}

    /// Refuses to be asked for what is not there.
    pub(crate) fn open(traces: &Traces) -> anyhow::Result<Option<Otlp>> {
        anyhow::ensure!(
            traces.otlp.is_none(),
            "`traces.otlp` is set, and this program was built without the feature `otlp`"
        );
        Ok(None)
    }

    impl Otlp {
        pub(crate) async fn close(&self) {
            match *self {}
        }
    }

    impl TurnCounter for Otlp {
        fn ended(&self, _turn: &EndedTurn) {
            match *self {}
        }
    }

    impl Tracer for Otlp {
        fn begins(&self) -> bool {
            match *self {}
        }

        fn ended(&self, _request: &EndedRequest) {
            match *self {}
        }
    }
}
