"""The strict rule set that the design notes measured: twelve rules over 15 attributes of CelebA."""

STRICT = """
    No_Beard -> not (Goatee or Mustache or Sideburns)
    not No_Beard -> Male
    Goatee -> Male
    Mustache -> Male
    Sideburns -> Male
    5_o_Clock_Shadow -> Male
    Bald -> Male
    Bald -> not Bangs
    Bald -> not (Straight_Hair or Wavy_Hair or Black_Hair or Blond_Hair or Brown_Hair)
    at_most_one(Black_Hair, Blond_Hair, Brown_Hair, Gray_Hair)
    not (Straight_Hair and Wavy_Hair)
    not (Bangs and Receding_Hairline)
"""
