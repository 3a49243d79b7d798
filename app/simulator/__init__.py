"""A ServiceNow instance in memory, spoken to over real HTTP; it knows nothing of tickets.

How it behaves is written in the Table API's documentation and measured on real instances; each
switch of `Instance` stands for something that differs between instances.
"""

from app.simulator.instance import Instance
from app.simulator.running import RunningSimulator
from app.simulator.web import create_app

__all__ = ["Instance", "RunningSimulator", "create_app"]
