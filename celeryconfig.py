"""The operator's file: what may differ between deployments.

Names are Celery's settings. Where the broker, the results and S3 are is set in the environment
(`SPACER_*`, see `spacer-tasks config`). Task names, queues and serialisers are the contract
between callers and workers and cannot be set here; see `spacer_tasks/app.py`.
"""

#: seconds; a task in a prefork pool (training, classify) is ended after this. Longer than the
#: longest training you expect.
task_time_limit = 24 * 3600

#: seconds between a worker's heartbeats, which Flower shows
broker_heartbeat = 30

#: Redis connections of one process to the broker; one per thread and a few for Celery itself
broker_pool_limit = 16
