"""MuseTalk (Zhang et al., 2024): lip synchronisation in latent space.

Each network has its own file: ``whisper_encoder``, ``autoencoder``, ``unet``, and ``decoders`` with
the cheaper decoders. ``checkpoint`` reads the published files, ``export`` makes the models.
"""
