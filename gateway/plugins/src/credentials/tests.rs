//! Files of docker, podman and Kubernetes, in the order in which they are looked at.

use std::path::Path;
use std::path::PathBuf;

use super::Credential;
use super::CredentialError;
use super::Credentials;
use super::Found;
use super::Given;
use super::Secret;
use crate::reference::Reference;

fn image(text: &str) -> Reference {
    text.parse().unwrap()
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

fn basic(user: &str) -> Credential {
    Credential::Basic {
        user: user.to_owned(),
        password: Secret::new("pass"),
    }
}

/// `USER:pass` in base64.
fn auth(user: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:pass"))
}

fn auths(entries: &[(&str, &str)]) -> String {
    let entries: serde_json::Map<String, serde_json::Value> = entries
        .iter()
        .map(|(key, user)| ((*key).to_owned(), serde_json::json!({ "auth": auth(user) })))
        .collect();
    serde_json::json!({ "auths": entries }).to_string()
}

async fn find(content: &str, of: &str) -> Result<Found, CredentialError> {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "config.json", content);
    Credentials::from_files([path]).find(&image(of), None).await
}

#[tokio::test]
async fn the_longest_path_that_leads_to_a_repository_wins() {
    let file = auths(&[
        ("ghcr.io", "host"),
        ("ghcr.io/team", "team"),
        ("ghcr.io/team/auth", "exact"),
        ("ghcr.io/te", "prefix"),
    ]);
    for (of, user) in [
        ("ghcr.io/team/auth:1", "exact"),
        ("ghcr.io/team/auth/deep:1", "exact"),
        ("ghcr.io/team/other:1", "team"),
        ("ghcr.io/teams/auth:1", "host"),
    ] {
        assert_eq!(
            find(&file, of).await.unwrap().credential,
            basic(user),
            "{of}"
        );
    }
    let none = find(&file, "quay.io/team/auth").await.unwrap();
    assert_eq!(none.credential, Credential::Anonymous);
    assert!(
        none.origin.ends_with("config.json has none"),
        "{}",
        none.origin
    );
}

#[tokio::test]
async fn registries_are_known_by_all_the_names_that_tools_give_them() {
    for (key, of) in [
        ("https://index.docker.io/v1/", "me/filter"),
        ("index.docker.io", "me/filter"),
        ("docker.io", "me/filter"),
        ("registry-1.docker.io", "filter"),
        ("https://ghcr.io/v2/", "ghcr.io/a/b"),
        ("https://ghcr.io", "ghcr.io/a/b"),
        ("http://localhost:5000", "localhost:5000/a"),
        ("localhost:5000", "localhost:5000/a"),
    ] {
        let found = find(&auths(&[(key, "me")]), of).await.unwrap();
        assert_eq!(found.credential, basic("me"), "{key}");
    }
    let other_port = find(&auths(&[("localhost:5001", "me")]), "localhost:5000/a").await;
    assert_eq!(other_port.unwrap().credential, Credential::Anonymous);
}

#[tokio::test]
async fn entries_have_passwords_tokens_or_nothing() {
    let find = async |entry: &str| {
        find(
            &format!(r#"{{"auths":{{"ghcr.io":{entry}}}}}"#),
            "ghcr.io/a/b",
        )
        .await
    };
    for (entry, expected) in [
        (r#"{"username":"me","password":"pass"}"#, basic("me")),
        (r#"{"auth":"bWU6cGFzcw"}"#, basic("me")),
        (r#"{"auth":"bWU6cGFzcwAA"}"#, basic("me")),
        (
            r#"{"identitytoken":"x"}"#,
            Credential::IdentityToken(Secret::new("x")),
        ),
        (
            r#"{"auth":"bWU6cGFzcw==","identitytoken":"x"}"#,
            Credential::IdentityToken(Secret::new("x")),
        ),
        (
            r#"{"registrytoken":"x"}"#,
            Credential::Token(Secret::new("x")),
        ),
        ("{}", Credential::Anonymous),
    ] {
        assert_eq!(find(entry).await.unwrap().credential, expected, "{entry}");
    }
    for wrong in [
        r#"{"auth":"s3cret!"}"#,
        r#"{"auth":"czNjcmV0"}"#,
        r#"{"auth":["s3cret"]}"#,
    ] {
        let err = find(wrong).await.expect_err(wrong).to_string();
        assert!(err.contains("config.json"), "{err}");
        assert!(!err.contains("s3cret"), "{err}");
    }
}

#[tokio::test]
async fn files_are_looked_at_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let places = [
        ("named.json", "named"),
        ("docker/config.json", "docker"),
        ("home/.docker/config.json", "home"),
        ("run/containers/auth.json", "podman"),
    ];
    for (path, user) in places {
        write(folder.path(), path, &auths(&[("ghcr.io", user)]));
    }
    let credentials = Credentials::from_variables(|name| {
        let path = match name {
            "REGISTRY_AUTH_FILE" => at("named.json"),
            "DOCKER_CONFIG" => at("docker"),
            "HOME" => at("home"),
            "XDG_RUNTIME_DIR" => at("run"),
            _ => return None,
        };
        Some(path.display().to_string())
    });
    let of = image("ghcr.io/a/b");
    for (path, user) in places {
        let found = credentials.find(&of, None).await.unwrap();
        assert_eq!(found.credential, basic(user));
        assert!(found.origin.contains(path), "{}", found.origin);
        // Without an entry for it, the next one is asked.
        std::fs::write(at(path), "").unwrap();
    }
    let none = credentials.find(&of, None).await.unwrap();
    assert_eq!(none.credential, Credential::Anonymous);
    // What somebody named must be there; what is only usual need not.
    std::fs::remove_dir_all(at("docker")).unwrap();
    credentials.find(&of, None).await.unwrap();
    std::fs::remove_file(at("named.json")).unwrap();
    let err = credentials.find(&of, None).await.expect_err("it was named");
    assert!(err.to_string().ends_with("named.json"), "{err}");
}

#[tokio::test]
async fn what_was_given_for_an_image_comes_first_and_is_read_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "config.json", &auths(&[("ghcr.io", "file")]));
    let secret = write(folder.path(), "secret", "pass\n");
    let credentials = Credentials::from_files([file.clone()]);
    let of = image("ghcr.io/a/b");
    let given = Given::Password {
        username: "me".to_owned(),
        password_file: secret.clone(),
    };
    let found = credentials.find(&of, Some(&given)).await.unwrap();
    assert_eq!(found.credential, basic("me"));
    std::fs::write(&secret, "new").unwrap();
    let found = credentials.find(&of, Some(&given)).await.unwrap();
    let new = Credential::Basic {
        user: "me".to_owned(),
        password: Secret::new("new"),
    };
    assert_eq!(found.credential, new);
    let found = credentials
        .find(&of, Some(&Given::TokenFile(secret.clone())))
        .await
        .unwrap();
    assert_eq!(found.credential, Credential::Token(Secret::new("new")));
    // A pull secret for another registry leaves it to the files.
    let pull_secret = write(folder.path(), "pull", &auths(&[("quay.io", "pull")]));
    let given = Given::DockerConfigJson(pull_secret);
    let found = credentials.find(&of, Some(&given)).await.unwrap();
    assert_eq!(found.credential, basic("file"));

    std::fs::write(&secret, " \n").unwrap();
    let err = credentials
        .find(&of, Some(&Given::TokenFile(secret)))
        .await
        .expect_err("empty");
    assert!(
        err.to_string()
            .ends_with("secret cannot be used: it is empty"),
        "{err}"
    );
    let folder = Given::TokenFile(folder.path().to_owned());
    assert!(credentials.find(&of, Some(&folder)).await.is_err());
}

#[test]
fn no_secret_is_printed() {
    let found = Found {
        credential: basic("me"),
        origin: "a file".to_owned(),
    };
    let printed = format!("{found:?}");
    assert!(
        printed.contains("***") && !printed.contains("pass\""),
        "{printed}"
    );
    assert_ne!(basic("me").fingerprint(), basic("you").fingerprint());
    assert_ne!(Credential::Anonymous.fingerprint(), basic("").fingerprint());
}
