//! Counts that may be percentages, as Kubernetes writes them.
//!
//! **Invariant:** pure.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// How many of `replicas` pods `value` means: a percentage is rounded up, as Kubernetes rounds maxSurge.
#[must_use]
pub fn of_replicas(value: &IntOrString, replicas: i32) -> i32 {
    match value {
        IntOrString::Int(count) => *count,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            i32::try_from((percent * i64::from(replicas) + 99) / 100).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_rounds_up_and_is_at_least_one() {
        for (text, replicas, expected) in [("25%", 3, 1), ("25%", 5, 2), ("100%", 3, 3), ("1%", 200, 2)] {
            assert_eq!(of_replicas(&IntOrString::String(text.to_owned()), replicas), expected, "{text} of {replicas}");
        }
    }
}
