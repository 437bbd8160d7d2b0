//! A browser without a screen: a cookie, forms with their token, pages.

use reqwest::header::HeaderMap;

use super::Site;

/// What a page load gave.
pub(crate) struct Page {
    pub(crate) status: u16,
    /// Where it leads; empty unless it is a redirection.
    pub(crate) location: String,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) struct Browser<'a> {
    site: &'a Site,
    pub(crate) cookie: String,
    /// The newest Set-Cookie, whole.
    pub(crate) set_cookie: String,
}

impl<'a> Browser<'a> {
    /// What [`Browser::enter`] makes of a first password.
    pub(crate) const PASSWORD: &'static str = "correct horse battery";

    pub(crate) fn new(site: &'a Site) -> Self {
        Self {
            site,
            cookie: String::new(),
            set_cookie: String::new(),
        }
    }

    /// Logged in as the admin of the first start.
    pub(crate) async fn admin(site: &'a Site) -> Self {
        let mut browser = Self::new(site);
        browser.enter("admin", &site.first_password()).await;
        browser
    }

    /// Logs in with a first password and changes it.
    pub(crate) async fn enter(&mut self, name: &str, first: &str) {
        assert!(self.log_in(name, first).await.starts_with("/password"));
        let fields = [
            ("old", first),
            ("new", Self::PASSWORD),
            ("again", Self::PASSWORD),
        ];
        let done = self.post("/password", &fields).await;
        assert_eq!(done.status, 303, "{}", done.text);
    }

    /// Logs in; where it leads.
    pub(crate) async fn log_in(&mut self, name: &str, password: &str) -> String {
        let page = self.try_password(name, password).await;
        assert_eq!(page.status, 303, "{}", page.text);
        page.location
    }

    pub(crate) async fn try_password(&mut self, name: &str, password: &str) -> Page {
        let body = encode(&[("name", name), ("password", password)]);
        self.raw("POST", "/login", &body, &[]).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.raw("GET", path, "", &[]).await
    }

    /// With another cookie, once.
    pub(crate) async fn get_with(&self, path: &str, cookie: &str) -> Page {
        let mut other = Browser::new(self.site);
        other.cookie = cookie.to_owned();
        other.get(path).await
    }

    /// The token of this login, from its log-out form.
    pub(crate) async fn csrf(&mut self) -> String {
        let page = self.get("/account").await;
        let page = if page.status == 200 {
            page
        } else {
            self.get(&page.location).await
        };
        let rest = page.text.split("name=\"csrf\" value=\"").nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    /// Sends a form with its token.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf().await;
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.raw("POST", path, &encode(&all), &[]).await
    }

    pub(crate) async fn raw(
        &mut self,
        method: &str,
        path: &str,
        form: &str,
        headers: &[(&str, &str)],
    ) -> Page {
        let url = format!("{}{path}", self.site.url);
        let mut request = self
            .site
            .http
            .request(method.parse().unwrap(), url)
            .header("accept", "text/html")
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(form.to_owned()).send().await.unwrap();
        if let Some(set) = answer.headers().get("set-cookie") {
            self.set_cookie = set.to_str().unwrap().to_owned();
            self.cookie = self.set_cookie.split(';').next().unwrap().to_owned();
        }
        let headers = answer.headers().clone();
        let location = headers.get("location");
        Page {
            status: answer.status().as_u16(),
            location: location.map_or_else(String::new, |to| to.to_str().unwrap().to_owned()),
            headers,
            text: answer.text().await.unwrap(),
        }
    }
}

fn encode(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
