#!/bin/sh
# What has become of job $1: success, failed or running. No answer counts as running: the server may
# be busy. PBS has to keep finished jobs for a while (job_history_enable).
if command -v bjobs > /dev/null; then
    state=$(bjobs -noheader -o stat "$1" 2> /dev/null)
else
    state=$(qstat -x -f "$1" 2> /dev/null | sed -n 's/ *job_state = \(.*\)/\1/p; s/ *Exit_status = \(.*\)/\1/p' | tr -d '\n')
fi
case "$state" in
    DONE | F0) echo success ;;
    EXIT | F*) echo failed ;;
    *) echo running ;;
esac
