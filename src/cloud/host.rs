//! Which hosts are registries of which cloud: whole names, label by label, and nothing by likeness.

/// The domains that ECR has in the partitions of AWS.
const ECR_DOMAINS: [&str; 8] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
    "on.aws",
    "sc2s.sgov.gov",
];
/// The host of ECR Public.
const ECR_PUBLIC: &str = "public.ecr.aws";

/// One of Amazon's registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ecr<'h> {
    /// The registry of an account, in one region.
    Private {
        /// The region.
        region: &'h str,
    },
    /// ECR Public.
    Public,
}

/// A cloud of Microsoft's, by the domain of its registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sovereignty {
    Public,
    China,
    Germany,
    UsGovernment,
}

/// Reads `<account>.dkr.ecr[-fips].<region>.<domain>`, with `dkr-ecr` for both families of addresses.
pub(super) fn ecr(host: &str) -> Option<Ecr<'_>> {
    if host == ECR_PUBLIC {
        return Some(Ecr::Public);
    }
    let (account, rest) = host.split_once('.')?;
    let is_account = account.len() == 12 && account.bytes().all(|it| it.is_ascii_digit());
    let service = rest
        .strip_prefix("dkr.ecr")
        .or_else(|| rest.strip_prefix("dkr-ecr"))?;
    let service = service.strip_prefix("-fips").unwrap_or(service);
    let (region, domain) = service.strip_prefix('.')?.split_once('.')?;
    let is_whole = is_account && is_label(region) && ECR_DOMAINS.contains(&domain);
    is_whole.then_some(Ecr::Private { region })
}

/// Reads `<name>.azurecr.io` and its sovereign kin.
pub(super) fn acr(host: &str) -> Option<Sovereignty> {
    let (name, domain) = host.split_once(".azurecr.")?;
    let sovereignty = match domain {
        "io" => Sovereignty::Public,
        "cn" => Sovereignty::China,
        "de" => Sovereignty::Germany,
        "us" => Sovereignty::UsGovernment,
        _ => return None,
    };
    name.split('.').all(is_label).then_some(sovereignty)
}

/// Whether this is `gcr.io`, a part of it, `<region>-docker.pkg.dev`, or the registry of S3NS.
pub(super) fn is_google(host: &str) -> bool {
    let part = host.strip_suffix(".gcr.io");
    let region = host.strip_suffix("-docker.pkg.dev");
    host == "gcr.io"
        || host == "docker.s3nsregistry.fr"
        || part.is_some_and(|part| part.split('.').all(is_label))
        || region.is_some_and(is_label)
}

/// Whether this can be one label of a host's name.
fn is_label(text: &str) -> bool {
    let may_be_in = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(may_be_in)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::super::Cloud;
    use super::*;

    const CLOUDS: [Cloud; 3] = [Cloud::Aws, Cloud::Azure, Cloud::Gcp];

    #[test]
    fn a_registry_belongs_to_one_cloud() {
        let check = |host: &str, owner: Cloud| {
            for cloud in CLOUDS {
                assert_eq!(cloud.owns(host), cloud == owner, "{host} {cloud}");
            }
        };
        check("123456789012.dkr.ecr.eu-west-1.amazonaws.com", Cloud::Aws);
        check(
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            Cloud::Aws,
        );
        check(
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            Cloud::Aws,
        );
        check(
            "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
            Cloud::Aws,
        );
        check("123456789012.dkr-ecr.us-east-1.on.aws", Cloud::Aws);
        check("public.ecr.aws", Cloud::Aws);
        check("acme.azurecr.io", Cloud::Azure);
        check("acme-1.azurecr.us", Cloud::Azure);
        check("acme.azurecr.cn", Cloud::Azure);
        check("acme.eastus.azurecr.io", Cloud::Azure);
        check("gcr.io", Cloud::Gcp);
        check("eu.gcr.io", Cloud::Gcp);
        check("europe-west1-docker.pkg.dev", Cloud::Gcp);
        check("docker.s3nsregistry.fr", Cloud::Gcp);
    }

    #[test]
    fn r39_a_host_that_looks_like_a_registry_is_none() {
        let region = "dkr.ecr.us-east-1";
        for host in [
            &format!("123456789012.{region}.amazonaws.com.evil.test"),
            &format!("123456789012.{region}.amazonaws.com."),
            &format!("123456789012.{region}.amazonaws.com:443"),
            &format!("123456789012.{region}.amazonaws.comcn"),
            &format!("123456789012.{region}.amazonaws.com.com"),
            &format!("123456789012.{region}.evil-amazonaws.com"),
            &format!("123456789012.{region}.evil.amazonaws.com"),
            &format!("123456789012.{region}.s3.amazonaws.com"),
            &format!("x.123456789012.{region}.amazonaws.com"),
            &format!("12345678901.{region}.amazonaws.com"),
            &format!("1234567890123.{region}.amazonaws.com"),
            &format!("12345678901a.{region}.amazonaws.com"),
            &format!("+12345678901.{region}.amazonaws.com"),
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.us_east.amazonaws.com",
            "123456789012.dkr.ecr.US-EAST-1.amazonaws.com",
            "123456789012.dkr.ecrx.us-east-1.amazonaws.com",
            "123456789012.dkrxecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com@evil.test",
            "public.ecr.aws.evil.test",
            "evil-public.ecr.aws",
            "x.public.ecr.aws",
            "evil-azurecr.io",
            "azurecr.io",
            ".azurecr.io",
            "acme.azurecr.io.evil.test",
            "acme.azurecr.io.",
            "acme.azurecr.io:443",
            "acme.azurecr.com",
            "acme.evil-azurecr.io",
            "evil.test/acme.azurecr.io",
            "acme..azurecr.io",
            "acme.azurecr.azurecr.io.test",
            "gcr.io.evil.test",
            "evil-gcr.io",
            ".gcr.io",
            "gcr.io.",
            "gcr.io:443",
            "evil.test-docker.pkg.dev",
            "-docker.pkg.dev",
            "docker.pkg.dev",
            "europe-docker.pkg.dev.evil.test",
            "europe-docker.pkg.devil.test",
            "us-docker.pkg.dev:8443",
            "docker.s3nsregistry.fr.evil.test",
            "ghcr.io",
            "localhost",
            "",
        ] {
            for cloud in CLOUDS {
                assert!(!cloud.owns(host), "{host} {cloud}");
            }
        }
    }

    #[test]
    fn the_region_and_the_sovereignty_are_read_from_the_host() {
        let region = "eu-west-1";
        let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        assert_eq!(ecr(host), Some(Ecr::Private { region }));
        assert_eq!(acr("acme.azurecr.cn"), Some(Sovereignty::China));
    }
}
