//! Hashes of passwords.
//!
//! The kinds that `htpasswd` makes today, and no clear text. A slow one is computed in slices, so that
//! others are served meanwhile.

mod apr1;
mod bcrypt;

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest as _;
use sha1::Sha1;
use subtle::ConstantTimeEq;

use apr1::Apr1;
use bcrypt::Bcrypt;

pub(crate) use bcrypt::Work;

/// The hash of a password.
pub(crate) enum Hash {
    Bcrypt(Bcrypt),
    Apr1(Apr1),
    Sha1([u8; 20]),
}

impl Hash {
    /// How long it takes to compute, in rounds of bcrypt: 0 if it takes no time to speak of.
    pub(crate) const fn rounds(&self) -> u32 {
        match self {
            Self::Bcrypt(hash) => hash.rounds(),
            // About as long as a few.
            Self::Apr1(_) => 8,
            Self::Sha1(_) => 0,
        }
    }

    /// Whether it is that of a password: the first part of finding out, which may be all.
    pub(crate) fn begin(&self, password: &[u8]) -> Progress {
        match self {
            Self::Bcrypt(hash) => Progress::More(Box::new(hash.begin(password))),
            Self::Apr1(hash) => Progress::Done(hash.is_of(password)),
            Self::Sha1(hash) => {
                let computed: [u8; 20] = Sha1::digest(password).into();
                Progress::Done(hash.ct_eq(&computed).into())
            }
        }
    }
}

/// How far a computation is.
pub(crate) enum Progress {
    /// Whether the hash is that of the password.
    Done(bool),
    More(Box<Work>),
}

const MAKE_ANEW: &str = "make it anew with htpasswd -B";

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            let decoded = STANDARD.decode(encoded).ok();
            let digest = decoded.and_then(|it| <[u8; 20]>::try_from(it).ok());
            return digest
                .map(Hash::Sha1)
                .ok_or_else(|| "expected 20 bytes in base64 after {SHA}".to_owned());
        }
        if let Some(rest) = text.strip_prefix("$apr1$") {
            return rest.parse().map(Hash::Apr1);
        }
        for version in ["$2y$", "$2b$", "$2a$"] {
            if let Some(rest) = text.strip_prefix(version) {
                return rest.parse().map(Hash::Bcrypt);
            }
        }
        Err(unknown(text))
    }
}

/// What to do about a hash of another kind.
fn unknown(text: &str) -> String {
    let kind = match text {
        "" => return "there is no hash after the colon".to_owned(),
        _ if text.starts_with("$2x$") || text.starts_with("$2$") => {
            "a hash of an old, faulty bcrypt"
        }
        _ if text.starts_with("$5$") || text.starts_with("$6$") => "a hash of SHA-crypt",
        _ if text.starts_with('$') => "a hash of a kind that is not supported",
        _ if text.starts_with('{') => "a hash of a kind that is not supported",
        _ => {
            "no hash of a kind that is supported; is it a password in the clear, or one of crypt(3)?"
        }
    };
    [kind, ": ", MAKE_ANEW].concat()
}

#[cfg(test)]
mod tests {
    use super::Hash;
    use super::Progress;

    fn is_of(hash: &Hash, password: &str) -> bool {
        let mut work = match hash.begin(password.as_bytes()) {
            Progress::Done(is_right) => return is_right,
            Progress::More(work) => work,
        };
        loop {
            if let Some(is_right) = work.slice() {
                return is_right;
            }
        }
    }

    #[test]
    fn hashes_are_those_that_other_programs_make() {
        let (eighty, hundred) = ("p".repeat(80), "x".repeat(100));
        for (password, hash) in [
            // htpasswd 2.4.71: -B, -m, -s.
            (
                "s3cret pass",
                "$2y$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm",
            ),
            (
                "passwörd:with:colons",
                "$2y$05$uibtgI3HSa1FURyn/h/H1ONNy3Q66oYCswYwUt2p0Nf9XEYxtLcK6",
            ),
            (
                "",
                "$2y$04$hpGLRO4RKS7/JalcbaYj6OJSgFGb0cHMW7EbOY8odo7NRgQyhWM1e",
            ),
            ("apr-pass", "$apr1$JeX4rT7I$dn7IqnvvAyL1HyJc0zM/n1"),
            ("0123456789abcdef", "$apr1$.UBNw9oQ$jajfvfPi4Y9OtGu9e2bkk/"),
            (&eighty, "$apr1$IIKLUJ4e$IgIvCj728cxw7Xft3z4t41"),
            ("", "$apr1$sWFg3lbc$LFU8PpkOmm3xV1nZ8UsDS/"),
            ("sha-pass", "{SHA}xO2etOilyqtV8o1RvvnmkeBx7QI="),
            // openssl passwd -apr1.
            ("küche", "$apr1$ab$gKYZbDAJPsAFycnNgP.9p0"),
            // crypt of libxcrypt 4.4.
            (
                "U*U",
                "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            ),
            (
                "ünï",
                "$2b$04$abcdefghijklmnopqrstuumz5Vf1SQFTiMVlGUv3kBH0fpcrNuoSW",
            ),
            (
                &hundred,
                "$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i",
            ),
        ] {
            let read: Hash = hash.parse().unwrap();
            assert!(is_of(&read, password), "{hash}");
            assert!(
                !is_of(&read, &format!("p{password}")) || password == eighty,
                "{hash}"
            );
            assert!(!is_of(&read, "another"), "{hash}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_shown() {
        for (text, message) in [
            ("", "no hash after the colon"),
            ("hunter2", "a password in the clear"),
            ("pN6n1i.DGCT7M", "htpasswd -B"),
            ("$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "not supported"),
            (
                "$5$SMVJC7VE07WFn9t4$X92oft6k2WqdAhc7.tEMyj8f4TuFeJqCg3n8sa6F4bA",
                "SHA-crypt",
            ),
            ("{SSHA}xO2etOilyqtV8o1RvvnmkeBx7QI=", "not supported"),
            ("{SHA}xO2etOilyqtV8o1RvvnmkeBx7Q==", "20 bytes"),
            ("{SHA}?", "20 bytes"),
            (
                "$2x$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm",
                "faulty",
            ),
            (
                "$2y$31$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm",
                "cost of the hash is 31",
            ),
            (
                "$2y$03$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm",
                "cost of the hash is 3",
            ),
            (
                "$2y$+4$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm",
                "two digits",
            ),
            (
                "$2y$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUs",
                "53 characters",
            ),
            (
                "$2y$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUs=",
                "53 characters",
            ),
            ("$2y$04$Rw9gJZxLYHlDTo9/D434Bö", "53 characters"),
            ("$2y$04", "53 characters"),
            ("$apr1$JeX4rT7I9$dn7IqnvvAyL1HyJc0zM/n1", "22 characters"),
            ("$apr1$JeX4rT7I$dn7IqnvvAyL1HyJc0zM/n", "22 characters"),
            ("$apr1$JeX4rT7I$dn7IqnvvAyL1HyJc0zM/n!", "22 characters"),
            ("$apr1$", "22 characters"),
        ] {
            let Err(refused) = text.parse::<Hash>() else {
                panic!("accepted: {text}");
            };
            assert!(refused.contains(message), "{message} in {refused}");
            assert!(
                !refused.contains("hunter2") && !refused.contains("Rw9g"),
                "{refused}"
            );
        }
    }
}
