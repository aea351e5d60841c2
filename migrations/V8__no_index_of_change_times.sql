-- What changed lately is found by the ids, which ascend with time (store/reconcile.rs). It is asked for when a broker has
-- lost its disk; the index was written to with every change.
drop index order_status_log_recent;
