//! `docs/metrics.md`.

use super::hold;
use restart_controller::controller::metrics::table::page;

#[test]
fn the_page_of_metrics_is_what_the_table_says() {
    hold("docs/metrics.md", &page());
}
