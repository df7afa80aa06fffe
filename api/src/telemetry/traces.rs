//! Traces to a collector by OTLP over HTTP: a request's operation, its command, and each read model that took the
//! command's events. Off unless a collector is named.
//!
//! A command's span is the `traceparent` of its events, so a read model's span, made by whichever process feeds it and
//! whenever that is, has the command as its parent: one trace from the mutation to the rows. A caller's own
//! `traceparent` is continued, and its decision whether to record is kept; who sends none is recorded at the configured
//! ratio. Spans carry ids, types and positions, never a value of a command.
//!
//! Spans wait in a bounded queue and are dropped when it is full: a collector that is slow or gone slows nothing down.

use crate::http::Trace;
use docket_event_store::RecordedEvent;
use docket_projections::Observer;
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
        TraceState, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How long the collector may take for a batch of spans.
const MAX_EXPORT: Duration = Duration::from_secs(5);
/// How long the last spans may take to leave when the process stops.
const MAX_SHUTDOWN: Duration = Duration::from_secs(3);
/// Traces of one batch of a read model that get a span: of a batch of thousands, a sample is enough.
const MAX_TRACES_OF_BATCH: usize = 64;

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// The collector's OTLP address, `http://127.0.0.1:4318/v1/traces`; empty for none.
    pub endpoint: String,
    /// The share of requests without a trace of their caller's that is recorded, 0 to 1.
    pub ratio: f64,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            ratio: 0.1,
        }
    }
}

/// The collector's address is not usable.
#[derive(Debug, thiserror::Error)]
#[error("traces.endpoint {endpoint:?} is not usable")]
pub struct TraceError {
    endpoint: String,
    #[source]
    source: ExporterBuildError,
}

/// The way to the collector; clones share it.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}

impl Traces {
    /// Starts it, where a collector is named.
    ///
    /// # Errors
    /// When its address does not read.
    pub fn start(settings: &TraceSettings) -> Result<Option<Traces>, TraceError> {
        if settings.endpoint.is_empty() {
            return Ok(None);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&settings.endpoint)
            .with_timeout(MAX_EXPORT)
            .build();
        let exporter = exporter.map_err(|source| TraceError {
            endpoint: settings.endpoint.clone(),
            source,
        })?;
        let ratio = Sampler::TraceIdRatioBased(settings.ratio);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(ratio)))
            .with_resource(Resource::builder().with_service_name("docket").build())
            .build();
        let tracer = provider.tracer("docket");
        Ok(Some(Traces { provider, tracer }))
    }

    /// Begins the span of an operation: under the caller's, where it sent one.
    pub(crate) fn operation(&self, name: &str, trace: &Trace) -> Spanned {
        let builder = self
            .tracer
            .span_builder(name.to_owned())
            .with_kind(SpanKind::Server);
        Spanned(builder.start_with_context(&self.tracer, &parent(trace.parent())))
    }

    /// Begins the span of a command, under its operation's.
    pub(crate) fn command(&self, name: &'static str, trace: Option<&Trace>) -> Spanned {
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Producer);
        let parent = parent(trace.and_then(Trace::parent));
        Spanned(builder.start_with_context(&self.tracer, &parent))
    }

    /// Sends what is left, within a bound.
    pub fn stop(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(MAX_SHUTDOWN) {
            tracing::warn!(%error, "some traces were not sent");
        }
    }
}

/// A span that ends when it is dropped.
pub(crate) struct Spanned(Span);

impl Spanned {
    /// As a `traceparent`.
    pub(crate) fn traceparent(&self) -> String {
        let context = self.0.span_context();
        format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        )
    }

    /// Whether it goes to the collector.
    pub(crate) fn is_recorded(&self) -> bool {
        self.0.span_context().is_sampled()
    }

    /// Adds what is known of it now.
    pub(crate) fn tell(&mut self, attributes: impl IntoIterator<Item = KeyValue>) {
        self.0.set_attributes(attributes);
    }

    /// It did not come to a good end.
    pub(crate) fn failed(&mut self, code: &str) {
        self.0.set_status(Status::error(code.to_owned()));
    }
}

/// What a `traceparent` says; nobody's child where there is none.
fn parent(traceparent: Option<&str>) -> Context {
    let read = traceparent.and_then(|text| {
        let mut fields = text.split('-').skip(1);
        let trace = TraceId::from_hex(fields.next()?).ok()?;
        let span = SpanId::from_hex(fields.next()?).ok()?;
        let flags = TraceFlags::new(u8::from_str_radix(fields.next()?, 16).ok()?);
        Some(SpanContext::new(trace, span, flags, true, TraceState::NONE))
    });
    match read.filter(SpanContext::is_valid) {
        Some(context) => Context::new().with_remote_span_context(context),
        None => Context::new(),
    }
}

impl Observer for Traces {
    fn written(
        &self,
        projection: &'static str,
        events: &[Arc<RecordedEvent>],
        began: SystemTime,
        took: Duration,
    ) {
        let mut seen = HashSet::new();
        for event in events {
            let Some(traceparent) = event.command.traceparent.as_deref() else {
                continue;
            };
            if seen.len() >= MAX_TRACES_OF_BATCH || !seen.insert(traceparent) {
                continue;
            }
            let builder = self
                .tracer
                .span_builder(format!("project {projection}"))
                .with_kind(SpanKind::Consumer)
                .with_start_time(began)
                .with_attributes([
                    KeyValue::new("docket.partition", i64::from(event.position.partition)),
                    KeyValue::new("docket.offset", event.position.offset),
                    KeyValue::new("docket.order", event.stream.order.to_string()),
                ]);
            let mut span = builder.start_with_context(&self.tracer, &parent(Some(traceparent)));
            span.end_with_timestamp(began + took);
        }
    }
}
