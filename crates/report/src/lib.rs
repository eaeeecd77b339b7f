//! Renderers of the Report.
