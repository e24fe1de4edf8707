//! Which hosts are registries and Git remotes of which cloud: whole names, label by label, and nothing by likeness.

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

/// Reads `git-codecommit[-fips].<region>.amazonaws.com[.cn]`, and gives the region.
pub(super) fn codecommit(host: &str) -> Option<&str> {
    let service = host.strip_prefix("git-codecommit")?;
    let service = service.strip_prefix("-fips").unwrap_or(service);
    let (region, domain) = service.strip_prefix('.')?.split_once('.')?;
    let is_whole = is_region(region) && matches!(domain, "amazonaws.com" | "amazonaws.com.cn");
    is_whole.then_some(region)
}

/// Whether this is `dev.azure.com` or `<organization>.visualstudio.com`.
pub(super) fn is_azure_devops(host: &str) -> bool {
    let organization = host.strip_suffix(".visualstudio.com");
    host == "dev.azure.com" || organization.is_some_and(is_label)
}

/// Whether this is a region such as `us-gov-west-1`: what stands in its place in other names of
/// Amazon's, such as `s3`, is anybody's.
fn is_region(text: &str) -> bool {
    let Some((area, number)) = text.rsplit_once('-') else {
        return false;
    };
    let is_word = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_lowercase());
    area.contains('-')
        && area.split('-').all(is_word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|it| it.is_ascii_digit())
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
    fn a_git_remote_belongs_to_one_cloud() {
        let check = |remote: &str, owner: Cloud| {
            let url = remote.parse().expect("an address");
            for cloud in CLOUDS {
                assert_eq!(cloud.owns_remote(&url), cloud == owner, "{remote} {cloud}");
            }
        };
        let path = "/v1/repos/fleet";
        for host in [
            "git-codecommit.eu-west-1.amazonaws.com",
            "git-codecommit-fips.us-gov-west-1.amazonaws.com",
            "git-codecommit.cn-north-1.amazonaws.com.cn",
            "GIT-CodeCommit.us-east-2.amazonaws.com:443",
        ] {
            check(&format!("https://{host}{path}"), Cloud::Aws);
        }
        check("https://dev.azure.com/acme/fleet/_git/fleet", Cloud::Azure);
        check("https://acme@dev.azure.com/acme/_git/fleet", Cloud::Azure);
        check("https://acme.visualstudio.com/_git/fleet", Cloud::Azure);
    }

    #[test]
    fn g01_a_host_that_looks_like_a_git_remote_of_a_cloud_is_none() {
        for remote in [
            "http://dev.azure.com/acme/_git/fleet",
            "ssh://git@dev.azure.com/v3/acme/fleet/fleet",
            "https://dev.azure.com:8443/acme/_git/fleet",
            "https://dev.azure.com.evil.test/acme/_git/fleet",
            "https://dev.azure.com./acme/_git/fleet",
            "https://dev.azure.com@evil.test/acme/_git/fleet",
            "https://dev.azure.community/acme/_git/fleet",
            "https://evil-dev.azure.com/acme/_git/fleet",
            "https://x.dev.azure.com/acme/_git/fleet",
            "https://ssh.dev.azure.com/acme/_git/fleet",
            "https://azure.com/acme/_git/fleet",
            "https://visualstudio.com/_git/fleet",
            "https://evil-visualstudio.com/_git/fleet",
            "https://a.b.visualstudio.com/_git/fleet",
            "https://acme.visualstudio.com.evil.test/_git/fleet",
            "https://evil.test/dev.azure.com/_git/fleet",
            "http://git-codecommit.us-east-1.amazonaws.com/v1/repos/fleet",
            "ssh://git-codecommit.us-east-1.amazonaws.com/v1/repos/fleet",
            "https://git-codecommit.us-east-1.amazonaws.com:8443/v1/repos/fleet",
            "https://git-codecommit.us-east-1.amazonaws.com./v1/repos/fleet",
            "https://git-codecommit.us-east-1.amazonaws.com.evil.test/v1/repos/fleet",
            "https://git-codecommit.us-east-1.amazonaws.com.com/v1/repos/fleet",
            "https://git-codecommit.us-east-1.evil-amazonaws.com/v1/repos/fleet",
            "https://git-codecommit.us-east-1.s3.amazonaws.com/v1/repos/fleet",
            // A bucket with this name is anybody's.
            "https://git-codecommit.s3.amazonaws.com/v1/repos/fleet",
            "https://git-codecommit.s3-us-west-2.amazonaws.com/v1/repos/fleet",
            "https://git-codecommit.s3-website-us-east-1.amazonaws.com/v1/repos/fleet",
            "https://git-codecommit-fips-x.us-east-1.amazonaws.com/v1/repos/fleet",
            "https://x.git-codecommit.us-east-1.amazonaws.com/v1/repos/fleet",
            "https://evil-git-codecommit.us-east-1.amazonaws.com/v1/repos/fleet",
            "https://git-codecommit.us-east-1.amazonaws.com@evil.test/v1/repos/fleet",
            "https://github.com/acme/fleet",
            "file:///srv/git/fleet.git",
        ] {
            let url = remote.parse().expect("an address");
            for cloud in CLOUDS {
                assert!(!cloud.owns_remote(&url), "{remote} {cloud}");
            }
        }
    }

    #[test]
    fn the_region_and_the_sovereignty_are_read_from_the_host() {
        let region = "eu-west-1";
        let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        assert_eq!(ecr(host), Some(Ecr::Private { region }));
        assert_eq!(acr("acme.azurecr.cn"), Some(Sovereignty::China));
        let host = "git-codecommit-fips.ca-central-1.amazonaws.com";
        assert_eq!(codecommit(host), Some("ca-central-1"));
    }
}
