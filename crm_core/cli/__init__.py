"""The ``crm`` command: ``main`` lists the commands, ``running`` runs them; each group has a module."""
