"""MuseTalk's networks: latent-space lip synchronisation."""
