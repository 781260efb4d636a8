"""The whole job on one machine: private servers, made-up quadrats of real photographs, a report."""
