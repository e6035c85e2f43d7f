//! Which requests a limit is for.

use tidegate_policy::Cidr;
use tidegate_policy::Conditions;
use tidegate_policy::Pattern;
use tidegate_policy::Patterns;
use tidegate_policy::is_token;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::cx::Cx;
use tidegate_sdk::request::Request;

/// What requests must have, all of it. Values are whole and with case; with a star at the beginning, the end
/// or both, they may go on there, and `*` is any value.
#[derive(FilterConfig, Debug)]
pub(super) struct Fields {
    /// Methods, of which it has one: `POST`.
    #[config(default = [], max_len = 16)]
    methods: Vec<String>,
    /// Paths without their query, of which it has one: `/login`, or `/api` and `/api/*`.
    #[config(default = [], max_len = 64)]
    paths: Vec<Pattern>,
    /// Values of headers, by name.
    #[config(default = Patterns::new(), max_len = 16)]
    headers: Patterns,
    /// Values of cookies, by name.
    #[config(default = Patterns::new(), max_len = 16)]
    cookies: Patterns,
    /// Values of parameters of the query, by name.
    #[config(default = Patterns::new(), max_len = 16)]
    query: Patterns,
    /// Claims of the token that jwt-auth has verified, by name: text, numbers, and lists that have the
    /// value.
    #[config(default = Patterns::new(), max_len = 16)]
    claims: Patterns,
    /// Blocks of addresses, of which one has the client: `10.0.0.0/8`, `192.0.2.7`.
    #[config(default = [], max_len = 256)]
    client_ips: Vec<Cidr>,
}

/// What requests must have, made ready.
#[derive(Debug)]
pub(crate) struct Requests {
    methods: Vec<String>,
    paths: Vec<Pattern>,
    conditions: Conditions,
}

impl Requests {
    /// Entries of a list, which is called `list`.
    pub(super) fn all(entries: Vec<Fields>, list: &str) -> Result<Vec<Self>, Problem> {
        let one = |(index, fields)| {
            let here = |problem: Problem| problem.at(index).under(list);
            Self::new(fields).map_err(here)
        };
        entries.into_iter().enumerate().map(one).collect()
    }

    fn new(fields: Fields) -> Result<Self, Problem> {
        let Fields {
            methods,
            paths,
            headers,
            cookies,
            query,
            claims,
            client_ips,
        } = fields;
        for (index, method) in methods.iter().enumerate() {
            // Methods have case, and nobody has one in lower case.
            if !is_token(method) || method.bytes().any(|it| it.is_ascii_lowercase()) {
                let message = format!("expected a method such as POST, found {method:?}");
                return Err(Problem::new(message).at(index).under("methods"));
            }
        }
        let requests = Self {
            methods,
            paths,
            conditions: Conditions::new(headers, cookies, query, claims, client_ips)?,
        };
        if requests.is_all() {
            return Err(Problem::new(
                "expected methods, paths, headers, cookies, query, claims or clientIps: without any, all \
                 requests match",
            ));
        }
        Ok(requests)
    }

    const fn is_all(&self) -> bool {
        self.methods.is_empty() && self.paths.is_empty() && self.conditions.is_empty()
    }

    /// Whether a request is one of them.
    pub(crate) fn has<C, S>(&self, req: &Request, cx: &Cx<C, S>) -> bool {
        (self.methods.is_empty() || self.methods.contains(&req.method()))
            && (self.paths.is_empty() || self.has_path(&req.path()))
            && self.conditions.meet(req, cx)
    }

    fn has_path(&self, path: &str) -> bool {
        self.paths.iter().any(|it| it.has(path.as_bytes()))
    }
}
