"""MuseTalk (Zhang et al., 2024): lip synchronisation in latent space.

Four networks, a file each: ``whisper_encoder``, ``autoencoder``, ``unet`` and the cheaper
``decoders``. ``checkpoint`` reads the published files, ``export`` makes the models.
"""
