//! `ImageRepository`: scan, and remember the listing for the policies.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::{
    Context,
    condition::End,
    object::Object,
    reconcile::{Next, Report},
    told,
};
use crate::{
    access::{self, AccessError},
    config::{Config, ConfigError, Connection, Fault, ImageSource, Reading, duration, object_name},
    crd::{ImageRepositoryStatus, ScanResult},
    error::Class,
    image::{Repository, Tag},
    pipeline::Listing,
    policy::Exclusions,
    scan::{Registry as _, Scan},
};

/// How many tags the status shows.
const LATEST_TAGS: usize = 10;
/// The shortest time between two scans.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// What is known of an `ImageRepository` since this process started.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The last complete listing, or why there is none.
    pub(super) listing: Listing,
    /// The image that was listed.
    pub(super) image: Repository,
    /// With which rights it was listed.
    pub(super) connection: Connection,
    /// A checksum of the tags that are left after the exclusions.
    revision: String,
    /// The generation of the object that was listed.
    generation: i64,
    /// When the listing was complete.
    at: Instant,
}

/// Scans where it is time to, and says what came of it.
pub(super) async fn reconcile(context: &Context, object: &Arc<Object>) -> Report {
    let mut status = object.status::<ImageRepositoryStatus>();
    let Reading { mut config, faults } = Config::of_objects([&object.json]);
    let Some(source) = config
        .images
        .remove(&object.key)
        .filter(|_| faults.is_empty())
    else {
        context.forget_scan(&object.key);
        let end = End::stalled(reason(object), words(&faults, object));
        return Report::new(&status, end, Next::Never);
    };
    let interval = interval(&object.json);
    let known = context.known(&object.key);
    if let Some(wait) = known
        .as_ref()
        .and_then(|known| not_due(known, object, &source, interval))
    {
        return Report::new(&status, End::Left, Next::After(wait));
    }
    let access = access::registry(&context.ports.vault, &source.connection, source.listed()).await;
    let access = match access {
        Ok(access) => access,
        Err(error) => {
            let words = told::sentence(&error, error.hint());
            let message = format!("failed to configure authentication options: {words}");
            let end = End::failed("AuthenticationFailed", message);
            return Report::new(&status, end, Next::Retry(retry_of(&error)));
        }
    };
    match context.ports.registry.scan(source.listed(), &access).await {
        Ok(scan) => {
            let end = scanned(context, object, source, scan, &mut status);
            let next = jittered(interval);
            Report::new(&status, end, next).with_times(&["/lastScanResult/scanTime"])
        }
        Err(error) => {
            let class = error.class();
            context.metrics.scan_failed(class_word(class));
            let message = format!("scan failed: {}", told::sentence(&error, error.hint()));
            context.scan_failed(object, &source, error);
            let end = End::failed("ReadOperationFailed", message);
            Report::new(&status, end, Next::Retry(class))
        }
    }
}

/// Remembers a listing, wakes the policies where it says something new, and writes it into the
/// status.
fn scanned(
    context: &Context,
    object: &Arc<Object>,
    source: ImageSource,
    scan: Scan,
    status: &mut ImageRepositoryStatus,
) -> End {
    let list = exclusion_list(&object.json);
    // The list was compiled when the object was read, and had no fault.
    let exclusions = Exclusions::new(&list).unwrap_or_default();
    let tags = scan.tags.iter().map(Tag::as_str);
    let tags = tags.filter(|tag| exclusions.excludes(tag).is_none());
    let tags = tags.collect::<Vec<_>>();
    let revision = revision(&tags);
    let key = &object.key;
    context.metrics.scanned(key, scan.took, tags.len());
    tracing::debug!(repository = %key, tags = tags.len(), "scanned");

    status.canonical_image_name = Some(source.image.canonical());
    status.observed_exclusion_list = exclusions.patterns().map(str::to_owned).collect();
    status.last_scan_result = Some(ScanResult {
        revision: Some(revision.clone()),
        tag_count: i64::try_from(tags.len()).unwrap_or(i64::MAX),
        scan_time: Some(told::time(scan.finished)),
        latest_tags: tags
            .iter()
            .take(LATEST_TAGS)
            .map(ToString::to_string)
            .collect(),
    });
    let message = format!(
        "successful scan: found {} tags with checksum {revision}",
        tags.len()
    );
    let before = context.remember(
        key,
        Known {
            listing: Ok(Arc::new(scan)),
            image: source.image,
            connection: source.connection,
            revision: revision.clone(),
            generation: object.generation,
            at: Instant::now(),
        },
    );
    let is_new = before.is_none_or(|it| it.listing.is_err() || it.revision != revision);
    if is_new {
        context.wake_policies_of(key);
    }
    End::ready(message)
}

impl Context {
    /// A scan failed: a listing of before is still one complete listing, and stays.
    fn scan_failed(&self, object: &Object, source: &ImageSource, error: crate::scan::ScanError) {
        let key = &object.key;
        let before = self.known(key);
        let is_same = before.as_ref().is_some_and(|before| {
            before.image == source.image && before.connection == source.connection
        });
        if is_same && before.is_some_and(|before| before.listing.is_ok()) {
            return;
        }
        let failure = Known {
            listing: Err(Arc::new(error)),
            image: source.image.clone(),
            connection: source.connection.clone(),
            revision: String::new(),
            generation: object.generation,
            at: Instant::now(),
        };
        self.remember(key, failure);
        self.wake_policies_of(key);
    }
}

/// How long a scan can wait, where it can.
fn not_due(
    known: &Known,
    object: &Object,
    source: &ImageSource,
    interval: Option<Duration>,
) -> Option<Duration> {
    let is_current = known.listing.is_ok()
        && known.generation == object.generation
        && known.image == source.image
        && known.connection == source.connection;
    if !is_current || object.is_requested() || !is_ready(object) {
        return None;
    }
    let interval = interval?;
    // A jittered interval may end a little early.
    let left = interval.mul_f64(0.9).checked_sub(known.at.elapsed())?;
    Some(left.max(MIN_INTERVAL))
}

/// Whether the status says that the object is well; where somebody made it say otherwise, or never
/// got to write it, the scan is simply done again.
fn is_ready(object: &Object) -> bool {
    let conditions = object.status::<ImageRepositoryStatus>().conditions;
    conditions
        .iter()
        .any(|it| it.kind == "Ready" && it.status == "True")
}

/// The time between two scans; nothing where there is to be one only.
fn interval(object: &Value) -> Option<Duration> {
    let text = object["spec"]["interval"].as_str()?;
    let interval = duration::parse(text).filter(|it| !it.is_zero())?;
    Some(interval.max(MIN_INTERVAL))
}

/// Up to a tenth earlier than the interval says, so that repositories that were created together do
/// not stay together.
fn jittered(interval: Option<Duration>) -> Next {
    interval.map_or(Next::Never, |interval| {
        Next::After(interval.mul_f64(0.9 + 0.1 * fastrand::f64()))
    })
}

/// Somebody else's mistake (a Secret that is missing or unfit) may be mended without a word to us.
fn retry_of(error: &AccessError) -> Class {
    match error.class() {
        Class::Config => Class::Denied,
        class => class,
    }
}

pub(super) fn class_word(class: Class) -> &'static str {
    match class {
        Class::Config => "config",
        Class::Denied => "denied",
        Class::Transient => "transient",
        Class::Conflict => "conflict",
        Class::Bug => "bug",
    }
}

pub(super) fn exclusion_list(object: &Value) -> Vec<String> {
    let list = object["spec"]["exclusionList"].as_array();
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// Why a faulty object cannot be scanned: `ImageURLInvalid` where that is it, else what Flux says
/// when a scan cannot be prepared.
pub(super) fn reason(object: &Object) -> &'static str {
    let image = object.text("/spec/image").map(str::parse::<Repository>);
    match image {
        Some(Ok(_)) => "ReadOperationFailed",
        _ => "ImageURLInvalid",
    }
}

/// Faults in one text, with what to do about them.
pub(super) fn words(faults: &[Fault], object: &Object) -> String {
    let name = object_name(&object.json);
    let own = faults.iter().filter(|fault| fault.file == name);
    let texts = own.map(|fault| match &fault.hint {
        Some(hint) => format!("{}; {hint}", fault.message),
        None => fault.message.clone(),
    });
    let texts = texts.collect::<Vec<_>>();
    if texts.is_empty() {
        let all = ConfigError {
            faults: faults.to_vec(),
        };
        return all.to_string();
    }
    texts.join("\n")
}

/// A checksum that says whether two lists are the same.
fn revision(tags: &[&str]) -> String {
    let mut lines = tags.join("\n");
    if !lines.is_empty() {
        lines.push('\n');
    }
    crate::scan::hash::sha256(lines.as_bytes())
        .as_str()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_revision_is_that_of_flux() {
        let check = |tags: &[&str], expected: &str| assert_eq!(revision(tags), expected);
        check(
            &["d", "c", "b", "a"],
            "sha256:5c6861a52da9e6bfd5f0b37a8c51af173d7550443bb36253b18b2caf57987f53",
        );
        check(
            &[],
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
    }

    /// K02.
    #[test]
    fn an_interval_is_never_short_enough_to_hurt() {
        let check = |text: &str, expected: Option<u64>| {
            let found = interval(&json!({"spec": {"interval": text}}));
            assert_eq!(found, expected.map(Duration::from_secs), "{text}");
        };
        check("5m", Some(300));
        check("1ms", Some(1));
        check("0s", None);
        check("-5m", None);
        check("1ns", None);
        check("292y", None);
        check("2562047h", Some(9_223_369_200));
        check("2562048h", None);
    }
}
