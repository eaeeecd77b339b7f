//! One Report for several instances of nginx: the main one's, with what was found of the others put behind it.

use crate::report::{Finding, Report, Verdict};

/// Adds the report of a further instance. What fails at the main one stays in front; a healthy main one gives way.
pub fn merge(mut first: Report, other: Report) -> Report {
    let worse = match other.verdict {
        Verdict::Faulty => first.verdict != Verdict::Faulty,
        Verdict::Degraded => first.verdict == Verdict::Healthy,
        // A further instance of which little could be seen takes nothing from what is known of the main one.
        Verdict::Inconclusive => !other.symptoms.is_empty() && first.verdict == Verdict::Healthy,
        Verdict::Healthy => false,
    };
    if worse {
        first.verdict = other.verdict;
        first.summary = other.summary;
        first.checks = other.checks;
        first.candidates = other.candidates;
        first.ruled_out = other.ruled_out;
        first.next_look = other.next_look;
    }
    // Where one instance is the other's backend, both tell of the same fault; the end that knows the peer says more.
    let known = |it: &Finding, list: &[Finding]| {
        list.iter()
            .any(|there| there.cause == it.cause && (there.upstream == it.upstream || it.upstream.is_none()))
    };
    for finding in other.causes {
        if !known(&finding, &first.causes) {
            first.causes.push(finding);
        }
    }
    for finding in other.hidden {
        if !known(&finding, &first.hidden) {
            first.hidden.push(finding);
        }
    }
    first.symptoms.extend(other.symptoms);
    for moment in other.moments {
        if !first.moments.contains(&moment) {
            first.moments.push(moment);
        }
    }
    first.moments.sort_by_key(|it| it.at);
    for spot in other.blind_spots {
        if !first.blind_spots.iter().any(|it| it.what == spot.what) {
            first.blind_spots.push(spot);
        }
    }
    for note in other.notes {
        if !first.notes.contains(&note) {
            first.notes.push(note);
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use crate::report::Verdict;
    use crate::testing::{failed, logged, passing_to, seen};
    use snapshot::{Reading, Snapshot};

    /// A well main instance beside one whose backend refuses.
    fn two_instances() -> Snapshot {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8182/",
        );
        let lost = logged(passing_to("proxy_pass http://127.0.0.1:8182"), &[&line]);
        let Reading::Seen(other) = &lost.nginx else { unreachable!() };
        let mut both = passing_to("proxy_pass http://127.0.0.1:8181");
        let Reading::Seen(main) = &both.nginx else { unreachable!() };
        let instances = vec![main.value[0].clone(), other.value[0].clone()];
        both.nginx = seen(instances);
        both.logs = lost.logs;
        both.logs.iter_mut().for_each(|it| it.nginx = 1);
        both
    }

    #[test]
    fn a_second_instance_that_lost_its_backend_is_told() {
        let report = crate::diagnose(&two_instances());
        assert_eq!(report.verdict, Verdict::Faulty);
        let upstream = report.causes[0].upstream.as_ref().unwrap();
        assert_eq!(upstream.peer, "127.0.0.1:8182");
        assert!(report.summary.contains("127.0.0.1:8182"), "{}", report.summary);
    }

    #[test]
    fn a_second_instance_that_does_not_run_is_left_alone() {
        let host = two_instances().with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            nginx.value[1].master = None;
        });
        assert!(crate::diagnose(&host).causes.is_empty());
    }

    #[test]
    fn a_fault_that_both_ends_tell_of_is_told_once() {
        let front = crate::diagnose(&two_instances());
        let mut backend = front.clone();
        backend.causes[0].upstream = None;
        assert_eq!(super::merge(front, backend).causes.len(), 1);
    }
}
