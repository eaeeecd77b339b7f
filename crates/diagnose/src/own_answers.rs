//! Answers that nginx can give a group's requests by itself, from the configuration.

use nginx_conf::{Answer, AnswerKind, Directive, LocationId};

use crate::case::Case;
use crate::scene::Scene;
use crate::verdict::Fact;

/// One place of the configuration that can give the status of a group's requests.
pub struct Own<'v> {
    /// The place.
    pub answer: &'v Answer,
}

impl Own<'_> {
    /// `return 503` as it is written, with the condition around it.
    pub fn words(&self) -> String {
        let directive = match &self.answer.kind {
            AnswerKind::Return { .. } => format!("return {}", self.answer.status),
            AnswerKind::ErrorPage { for_status, uri } if self.answer.status == 0 => {
                format!("error_page {for_status} = {uri}")
            }
            AnswerKind::ErrorPage { for_status, uri } => {
                format!("error_page {for_status} ={} {uri}", self.answer.status)
            }
            AnswerKind::TryFiles => format!("try_files with ={} for what is no file", self.answer.status),
            AnswerKind::LimitReq { zone } => format!("limit_req zone={zone}"),
            AnswerKind::LimitConn { zone } => format!("limit_conn {zone}"),
            AnswerKind::AuthRequest { uri } => format!("auth_request {uri}"),
        };
        match &self.answer.condition {
            Some(condition) => format!("{directive} inside {condition}"),
            None => directive,
        }
    }

    /// As evidence.
    pub fn fact(&self, scene: &Scene) -> Fact {
        Fact::new("config", self.words()).reference(scene.place(self.answer.span))
    }

    /// Whether it gives that status whenever the location is reached.
    pub fn is_unconditional(&self) -> bool {
        self.answer.condition.is_none() && matches!(self.answer.kind, AnswerKind::Return { .. })
    }
}

/// The `return`, `error_page` and `try_files` places that can give the group's requests the status that they got.
pub fn find<'s>(case: &Case<'s, '_>) -> Vec<Own<'s>> {
    let of_kind = |it: &Answer| match &it.kind {
        AnswerKind::Return { .. } | AnswerKind::TryFiles => true,
        // An error page that keeps its status only dresses it.
        AnswerKind::ErrorPage { for_status, .. } => it.status != *for_status && it.status != 0,
        _ => false,
    };
    let mut found: Vec<Own> =
        reached(case).into_iter().filter(|it| of_kind(it)).map(|answer| Own { answer }).collect();
    found.sort_by_key(|it| !it.is_unconditional());
    found
}

/// The limits that can give the group's requests the status that they got.
pub fn limits<'s>(case: &Case<'s, '_>) -> Vec<Own<'s>> {
    let of_kind = |it: &Answer| matches!(it.kind, AnswerKind::LimitReq { .. } | AnswerKind::LimitConn { .. });
    reached(case).into_iter().filter(|it| of_kind(it)).map(|answer| Own { answer }).collect()
}

/// The `auth_request` in force where the group's requests go.
pub fn auth_requests<'s>(case: &Case<'s, '_>) -> Vec<Own<'s>> {
    let of_kind = |it: &Answer| matches!(it.kind, AnswerKind::AuthRequest { .. });
    in_force(case).into_iter().filter(|it| of_kind(it)).map(|answer| Own { answer }).collect()
}

/// Why a limit, and no backend, answered: nobody was asked, and a limit with that very status is in force.
pub fn limits_answer(case: &Case) -> Option<String> {
    let asked_nobody = case.accesses().all(|it| it.tells_upstream && it.attempts.is_empty());
    let limit =
        limits(case).into_iter().next().filter(|_| asked_nobody && case.accesses().next().is_some())?;
    Some(format!("{} in {} answers so", limit.words(), case.scene.place(limit.answer.span)))
}

/// A limit that refuses without a line in the error log, since its level is below that of the log.
pub fn silent_limit<'s>(case: &Case<'s, '_>) -> Option<Own<'s>> {
    let quiet = |name: &str| {
        let mut open: Vec<&Directive> = case.scene.config.root.iter().collect();
        std::iter::from_fn(move || {
            let next = open.pop()?;
            open.extend(next.children());
            Some(next)
        })
        .any(|it| it.name == name && matches!(it.arg(0), Some("info" | "notice" | "warn")))
    };
    let is_silent = |it: &Own| match it.answer.kind {
        AnswerKind::LimitReq { .. } => quiet("limit_req_log_level"),
        _ => quiet("limit_conn_log_level"),
    };
    limits(case).into_iter().find(|it| !case.scene.error_log_speaks(case.group) || is_silent(it))
}

/// The answers with the group's statuses in force where its requests go; any status, where the log does not tell one.
fn reached<'s>(case: &Case<'s, '_>) -> Vec<&'s Answer> {
    let statuses = &case.group.statuses;
    in_force(case).into_iter().filter(|it| statuses.is_empty() || statuses.contains_key(&it.status)).collect()
}

/// The answers in force where the group's requests go.
fn in_force<'s>(case: &Case<'s, '_>) -> Vec<&'s Answer> {
    let view = case.scene.view;
    let mut places: Vec<(usize, Option<LocationId>)> = Vec::new();
    let mut add = |host: &str, path: &str| {
        if let Some(route) = view.route(host, None, path) {
            let place = (route.server, route.location);
            if !places.contains(&place) {
                places.push(place);
            }
            if let Some((location, _)) = route.fallback {
                places.push((route.server, Some(location)));
            }
        }
    };
    for access in case.accesses() {
        add(&access.host, &access.path);
    }
    for (path, _) in &case.group.paths {
        add(&case.group.server, path);
    }
    let around = |answer: &Answer| {
        places.iter().any(|(server, location)| match (answer.server, answer.location) {
            (None, _) => true,
            (Some(mine), None) => mine == *server,
            (Some(mine), Some(inner)) => {
                mine == *server && (enclosing(case.scene, *location).contains(&inner))
            }
        })
    };
    view.answers().iter().filter(|it| around(it)).collect()
}

/// A location and those that it is nested in. A named location is reached from any other, so it counts for its server.
fn enclosing(scene: &Scene, location: Option<LocationId>) -> Vec<LocationId> {
    let mut all = Vec::new();
    let mut next = location;
    while let Some(id) = next.filter(|it| !all.contains(it)) {
        all.push(id);
        next = scene.view.location(id).and_then(|it| it.parent);
    }
    all
}
